//! What is right is kept, what differs is replaced, what is in the way is handled.
