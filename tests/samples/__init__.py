"""Images that the tests draw, so that they belong to nobody."""
