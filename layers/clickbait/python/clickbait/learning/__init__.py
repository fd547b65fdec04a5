"""Learn an owner's taste from few images in seconds, with the evidence for it. Pure: numpy and
`inference` only. No AWS, no HTTP, no storage."""
