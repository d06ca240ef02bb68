"""The typed reader: raw values of any source become Arrow columns of declared types, by one rule."""
