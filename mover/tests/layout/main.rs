//! The mover where it will run: the pod that VolSync's Job makes, with its users, volumes and lacks; killed at any
//! moment; many at once against one server.
//!
//! [`place`] makes the pod, [`made`] what is in the repository. Where mount namespaces are refused nothing of [`users`]
//! and [`volumes`] can run: `.ci/run` says so.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should stop where it stands")]

mod fleet;
mod handover;
mod kills;
mod limits;
mod made;
mod place;
mod rights;
mod users;
mod volumes;
