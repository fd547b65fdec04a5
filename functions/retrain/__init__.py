"""The function for events of training: new images, ended jobs, schedules."""
