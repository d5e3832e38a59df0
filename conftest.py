"""Load what runs the snippets of README.md, CONTRIBUTING.md and docs/."""

pytest_plugins = ("tests.docs.snippets",)
