"""The function for training events: new images, ended jobs, schedules."""
