"""Addresses of the page, and what they return, on this machine and on AWS."""

PAGES = [
    "/",
    "/classify",
    "/classify/",
    "/batch/monday.1",
    "/models/20261122-222955-c623f4",
    "/models/runs/20261122-222955-c623f4",
    "/runs/assets/index.js",
    "/assets",
    "//",
    "//example.org/app.js",
]
"""These return index.html."""

FILES = [
    "/samples/missing.jpg",
    "/index.html",
    "/config.json",
    "/favicon.svg",
    "/robots.txt",
    "/missing.js",
    "/assets/index-C7U3k_kQ.js",
    "/assets/missing-0a1b2c.js",
    "/assets/fonts/mono.woff2",
    "/assets/../index.html",
    "/assets/",
]
"""These return the file of that name, or 404."""
