//! Dense numbers for the things that a router knows, and the slab that hands them out.

use core::fmt;
use core::marker::PhantomData;

/// A moment: microseconds since the daemon started. The router is told the time, it never asks.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Default)]
pub struct Time(pub u64);

impl Time {
    /// This moment and `micros` microseconds.
    #[must_use]
    pub const fn after(self, micros: u64) -> Self {
        Self(self.0.saturating_add(micros))
    }
}

macro_rules! index {
    ($($(#[$meta:meta])* $name:ident;)*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
        pub struct $name(pub u32);

        impl From<u32> for $name {
            fn from(number: u32) -> Self {
                Self(number)
            }
        }

        impl From<$name> for u32 {
            fn from(index: $name) -> Self {
                index.0
            }
        }
    )*};
}

index! {
    /// An owner's namespace.
    OwnerIndex;
    /// An application of one owner.
    AppIndex;
    /// A module, whether it is loaded or only named by a route.
    ModuleIndex;
    /// One direction of one half of a connection: a queue of frames with a destination.
    LaneIndex;
    /// Another node.
    PeerIndex;
    /// A channel to another node.
    LinkIndex;
    /// A timer.
    TimerIndex;
}

/// Things by dense number; numbers of removed things are used again.
pub(crate) struct Slab<I, T> {
    slots: Vec<Option<T>>,
    free: Vec<u32>,
    index: PhantomData<I>,
}

impl<I, T> Default for Slab<I, T> {
    fn default() -> Self {
        Self { slots: Vec::new(), free: Vec::new(), index: PhantomData }
    }
}

impl<I, T> fmt::Debug for Slab<I, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Slab of {}", self.slots.len() - self.free.len())
    }
}

impl<I: From<u32> + Into<u32>, T> Slab<I, T> {
    pub(crate) fn insert(&mut self, value: T) -> I {
        if let Some(number) = self.free.pop() {
            self.slots[place(number)] = Some(value);
            return I::from(number);
        }
        let number = u32::try_from(self.slots.len()).expect("fewer than 2^32 things are known");
        self.slots.push(Some(value));
        I::from(number)
    }

    pub(crate) fn remove(&mut self, index: I) -> Option<T> {
        let number = index.into();
        let value = self.slots.get_mut(place(number))?.take()?;
        self.free.push(number);
        Some(value)
    }

    pub(crate) fn get(&self, index: I) -> Option<&T> {
        self.slots.get(place(index.into()))?.as_ref()
    }

    pub(crate) fn get_mut(&mut self, index: I) -> Option<&mut T> {
        self.slots.get_mut(place(index.into()))?.as_mut()
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = (I, &T)> {
        self.slots.iter().zip(0_u32..).filter_map(|(slot, number)| Some((I::from(number), slot.as_ref()?)))
    }

    pub(crate) fn indices(&self) -> Vec<I> {
        self.iter().map(|(index, _)| index).collect()
    }
}

impl<I: From<u32> + Into<u32>, T> core::ops::Index<I> for Slab<I, T> {
    type Output = T;

    fn index(&self, index: I) -> &T {
        self.get(index).expect("an index in use refers to something that lives")
    }
}

impl<I: From<u32> + Into<u32>, T> core::ops::IndexMut<I> for Slab<I, T> {
    fn index_mut(&mut self, index: I) -> &mut T {
        self.get_mut(index).expect("an index in use refers to something that lives")
    }
}

fn place(number: u32) -> usize {
    usize::try_from(number).expect("a host has at least 32 bits")
}
