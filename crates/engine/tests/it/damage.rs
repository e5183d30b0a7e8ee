//! Damage: the right entries fail, for the right reason, and the rest is restored.
