"""Where the time of a real batch goes, on the host and in the guests: ``make profile``."""
