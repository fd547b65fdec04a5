"""Images that the tests draw: none of them is anybody's."""
