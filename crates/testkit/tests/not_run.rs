//! The last of all test programs, by its crate's name: names what this run of `cargo test` could not run.

fn main() {
    for what in rekopia_testkit::skip::take_not_run() {
        println!("NOT RUN: {what}");
    }
}
