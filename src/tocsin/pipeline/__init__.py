"""What runs: records are taken in, handed over to the store, and sent as digests."""
