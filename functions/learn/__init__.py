"""The function of small updates: a new last layer from few images, in seconds."""
