//! Panics of the zkVM's code become errors, without a report on standard error.

use std::{
    any::Any,
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook},
};

use crate::{Error, Result};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Silence the default hook on threads that are inside [`guarded`]. Their panics reach the caller
/// as an error, and a second report on standard error would only confuse. Other threads keep
/// theirs.
pub fn install_hook() {
    let default = take_hook();
    set_hook(Box::new(move |info| {
        if !GUARDED.get() {
            default(info);
        }
    }));
}

/// Run `work`, and turn a panic into [`Error::Internal`].
pub fn guarded<T>(work: impl FnOnce() -> Result<T>) -> Result<T> {
    let before = GUARDED.replace(true);
    // Everything that `work` touches is dropped or unreachable after a panic, so nobody can see it
    // half-updated.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn panicking(panic: impl FnOnce()) -> Result<()> {
        guarded(|| {
            panic();
            Ok(())
        })
    }

    #[test]
    fn a_panic_becomes_an_error_with_its_message() {
        let internal = |message: &str| Err(Error::Internal(message.into()));
        assert_eq!(panicking(|| panic!("literal")), internal("literal"));
        assert_eq!(panicking(|| panic!("made of {}", 2)), internal("made of 2"));
        assert_eq!(
            panicking(|| std::panic::panic_any(7)),
            internal("panic without a message")
        );
    }

    #[test]
    fn what_did_not_panic_is_passed_on() {
        assert_eq!(guarded(|| Ok(1)), Ok(1));
        let failure = || Err::<(), _>(Error::BadElf("text".into()));
        assert_eq!(guarded(failure), failure());
    }

    #[test]
    fn a_guard_inside_another_leaves_the_outer_one_in_place() {
        let outer = guarded(|| {
            assert!(panicking(|| panic!("inner")).is_err());
            Ok(GUARDED.get())
        });
        assert_eq!(outer, Ok(true));
        assert!(!GUARDED.get());
    }
}
