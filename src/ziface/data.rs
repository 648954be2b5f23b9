//! The payload of a request: bytes that are lent, and can be compared with text.

use std::fmt;
use std::ops::Deref;

use bytes::Bytes;

/// The payload of a request, lent: a `[u8]` in all but name, which can also be compared with text.
///
/// It is taken wherever a `&[u8]` is asked for. If a function takes several types, such as those of `Buf`, write
/// `&request.get_data()[..]`.
///
/// # Examples
///
/// ```
/// use zinx::prelude::*;
///
/// fn answer(request: &dyn IRequest) -> zinx::Result<()> {
///     let data: &[u8] = request.get_data();
///     if request.get_data() == "quit" || data.is_empty() {
///         request.get_connection().stop();
///     }
///     Ok(())
/// }
/// ```
#[repr(transparent)]
#[derive(PartialEq, Eq, Hash)]
pub struct Data([u8]);

impl Data {
    /// The same bytes, as the payload of a request.
    pub const fn new(bytes: &[u8]) -> &Self {
        #[expect(unsafe_code, reason = "see SAFETY")]
        // SAFETY: `Data` is a `[u8]` and nothing else (`transparent`), so a reference to one is a reference to the other.
        unsafe {
            &*(std::ptr::from_ref(bytes) as *const Self)
        }
    }
}

impl Deref for Data {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl AsRef<[u8]> for Data {
    fn as_ref(&self) -> &[u8] {
        self
    }
}

/// As a `[u8]`.
impl fmt::Debug for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! comparable {
    ($($other:ty),+) => {$(
        impl PartialEq<$other> for Data {
            fn eq(&self, other: &$other) -> bool {
                let other: &[u8] = other.as_ref();
                self.0 == *other
            }
        }

        impl PartialEq<Data> for $other {
            fn eq(&self, other: &Data) -> bool {
                other == self
            }
        }
    )+};
}

comparable!([u8], str, Vec<u8>, String, Bytes);

impl<const N: usize> PartialEq<[u8; N]> for Data {
    fn eq(&self, other: &[u8; N]) -> bool {
        self.0 == other[..]
    }
}

impl<const N: usize> TryFrom<&Data> for [u8; N] {
    type Error = std::array::TryFromSliceError;

    fn try_from(data: &Data) -> Result<Self, Self::Error> {
        data.0.try_into()
    }
}

impl From<&Data> for Vec<u8> {
    fn from(data: &Data) -> Self {
        data.to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_payload_is_compared_with_text_and_bytes_and_taken_as_a_slice() {
        let data = Data::new(b"ask");
        assert!(data == "ask" && data == b"ask" && data == &b"ask"[..] && data != "as");
        let (text, bytes) = (String::from("ask"), Bytes::from("ask"));
        assert!(*data == text && *data == bytes && "ask" == data);
        let slice: &[u8] = data;
        let array: [u8; 3] = data.try_into().unwrap();
        assert_eq!((slice, &array[..], Vec::from(data)), (&b"ask"[..], &b"ask"[..], b"ask".to_vec()));
        assert_eq!(format!("{data:?}"), "[97, 115, 107]");
    }
}
