"""The retrain function: what lands in the drop folder, trainings that end, and the clock."""
