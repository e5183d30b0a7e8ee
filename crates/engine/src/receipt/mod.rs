//! Holds receipts: what a restore left on the disk, in a file that can be checked without the repository
//! (docs/receipt.md).

mod check;
mod document;
mod escape;
mod of_run;

pub use check::{ReceiptCheck, ReceiptDifference};
pub use document::{Receipt, ReceiptDirectory, ReceiptLoss, ReceiptOptions, ReceiptRemark, ReceiptSnapshot};
