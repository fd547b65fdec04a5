"""Addresses of the page, and what is to answer for them, here and on AWS."""

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
"""index.html answers for these."""

FILES = [
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
"""Nothing but the file of that name answers for these, or it is missing."""
