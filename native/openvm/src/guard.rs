//! Panics of the zkVM's code become errors, quietly.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
};

use crate::error::{Error, Result};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Keep the default hook's report for every thread but those inside [`guarded`]: their panics
/// reach the caller as an error, and a second copy on stderr would only confuse.
pub fn install_hook() {
    let default = take_hook();
    set_hook(Box::new(move |info| {
        if !GUARDED.get() {
            default(info);
        }
    }));
}

/// Run `work`, turning a panic into [`Error::Internal`].
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = GUARDED.replace(true);
    // Everything `work` touches is dropped or unreachable after a panic, so nothing half-updated
    // can be seen.
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(before);
    result.unwrap_or_else(|panic| Err(Error::Internal(message(&*panic))))
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "panic without a message".to_owned())
}
