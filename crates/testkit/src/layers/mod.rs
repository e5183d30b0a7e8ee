//! Checks how a crate is built, read from its source: which file names which, and how long its parts are.
//!
//! A crate says in a [`Table`], from the floor to the roof, which modules it has and what each of them may name.
//! [`violations`] finds names that the table does not allow, names of what stands further up in it, and what the table
//! has and nobody needs. [`circles`] needs no table: it finds files that name each other. [`oversized`] finds what has
//! grown too long.
//!
//! Names are paths that begin with `crate`, `super` or a module that the file declares, wherever they stand: imports,
//! expressions, macros. Paths in comments and documentation do not count.

mod circles;
mod files;
mod names;
mod sizes;
mod table;

pub use circles::circles;
pub use sizes::oversized;
pub use table::{Table, violations, violations_in};

/// Makes the tests of the crate that calls this: its table holds, no two files know each other, and nothing is too
/// long.
///
/// Both of its folders, `src` and `tests`, are looked at for length.
#[macro_export]
macro_rules! layers_of_this_crate {
    ($table:expr) => {
        fn of_crate(folder: &str) -> ::std::path::PathBuf {
            ::std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)
        }

        #[test]
        fn modules_name_only_what_is_below_them() {
            let wrong = $crate::layers::violations(&of_crate("src"), $table);
            assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        }

        #[test]
        fn files_name_each_other_in_no_circle() {
            let circles = $crate::layers::circles(&of_crate("src"));
            assert!(circles.is_empty(), "{}", circles.join("\n"));
        }

        #[test]
        fn files_and_functions_can_be_read_at_once() {
            let large = ["src", "tests"].map(|folder| $crate::layers::oversized(&of_crate(folder))).concat();
            assert!(large.is_empty(), "{}", large.join("\n"));
        }
    };
}
