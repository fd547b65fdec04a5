"""The whole service on one machine: the same template, deployed to an emulator of the cloud."""
