//! Holds the examples; there is nothing here.
