"""Records in the formats of other projects, for their tools and collections."""
