//! Computations: the shell's own, on the site's disk.

use std::cell::RefCell;

use super::content::load;
use super::disk::Disk;
use crate::node::seam::{Answer, Job};
use crate::shell::compute::{self, Means};

/// Does a job. Nobody has a password in the world.
pub fn run(store: &mut Disk, job: Job) -> Answer {
    let store = RefCell::new(store);
    let mut means = Means {
        load: &mut |piece| load(*store.borrow_mut(), std::slice::from_ref(piece)),
        append: &mut |body, octets| {
            store.borrow_mut().keep_converted(body, octets);
            Ok(())
        },
        passwords: "",
    };
    compute::run(job, &mut means)
}
