"""The tests. They are a package so that worker processes can import its fakes."""
