"""The pipeline: takes records, hands their events over to the store, and sends digests."""
