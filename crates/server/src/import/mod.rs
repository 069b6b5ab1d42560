//! `lanepool import`, in the order in which a file meets it:
//!
//! 1. [`command`]: the phases of the command, from arguments to the printed report;
//! 2. [`sample`]: makes a project if the user named none; [`project`]: the project on disk;
//! 3. [`walk`]: finds the files; [`asset_kind`]: what each is, and which lane it takes;
//! 4. [`run`]: submits them and waits for what becomes of them, while [`editor`] opens some and
//!    [`progress`] shows how far it is;
//! 5. [`service`]: what a worker does with one file: [`asset_path`] checks its path, [`meta`] keeps
//!    its GUID;
//! 6. [`tally`]: what became of each file; [`report`]: all of it as numbers; [`table`]: the numbers
//!    for people.

mod asset_kind;
mod asset_path;
mod command;
mod editor;
mod meta;
#[cfg(test)]
mod overtake_tests;
mod progress;
mod project;
mod report;
mod run;
mod sample;
mod service;
mod table;
mod tally;
mod walk;

pub(crate) use command::import;
