//! The few synchronisation types that counting needs: the standard library's, or loom's where
//! `--cfg loom` model-checks what uses them.
//!
//! Must not: hold any logic of its own but [`Published`], whose twin for loom stands in for
//! `arc_swap` (whose atomics loom cannot see).
//! Proof: `tests/loom.rs`.

#[cfg(loom)]
pub(crate) use loom::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};
#[cfg(not(loom))]
pub(crate) use std::sync::{
    Arc, Mutex, MutexGuard,
    atomic::{AtomicU32, AtomicU64, Ordering},
};

/// A slice with several owners, that says when it has only one.
#[cfg(not(loom))]
pub(crate) type SharedSlice<T> = Arc<[T]>;
#[cfg(loom)]
pub(crate) type SharedSlice<T> = Arc<Box<[T]>>;

/// The entries, to be shared.
pub(crate) fn shared_slice<T>(entries: Vec<T>) -> SharedSlice<T> {
    #[cfg(not(loom))]
    return entries.into();
    #[cfg(loom)]
    return Arc::new(entries.into());
}

/// Locks, also after a panic of another holder: what these locks guard is whole at every moment.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

/// A value that is replaced whole.
#[derive(Debug)]
#[cfg(not(loom))]
pub(crate) struct Published<T>(arc_swap::ArcSwap<T>);

#[cfg(not(loom))]
impl<T> Published<T> {
    pub(crate) fn new(first: Arc<T>) -> Self {
        Self(arc_swap::ArcSwap::new(first))
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        self.0.store(value);
    }

    pub(crate) fn load(&self) -> Arc<T> {
        self.0.load_full()
    }
}

/// A value that is replaced whole.
#[derive(Debug)]
#[cfg(loom)]
pub(crate) struct Published<T>(Mutex<Arc<T>>);

#[cfg(loom)]
impl<T> Published<T> {
    pub(crate) fn new(first: Arc<T>) -> Self {
        Self(Mutex::new(first))
    }

    pub(crate) fn store(&self, value: Arc<T>) {
        *lock(&self.0) = value;
    }

    pub(crate) fn load(&self) -> Arc<T> {
        Arc::clone(&lock(&self.0))
    }
}
