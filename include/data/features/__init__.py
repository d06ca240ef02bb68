"""Feature views: when they can be built, how they are built, whether they leak."""
