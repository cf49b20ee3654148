//! What does a file hold that may be packed?
//!
//! Comes in: a file. Goes out: its bytes, unpacked if its first ones say that gzip, xz or zstd have packed it.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Cursor, ErrorKind, Read};
use std::os::fd::{AsFd, BorrowedFd};

use flate2::bufread::MultiGzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::{CONCATENATED, Stream};
use ruzstd::decoding::StreamingDecoder;

/// The most that is unpacked of one file: far more than any log, and an end to a file that is made to have none.
const MOST_UNPACKED: u64 = 64 << 30;

/// What xz may use to unpack; the highest of its levels needs 65 MiB.
const XZ_MEMORY: u64 = 100 << 20;

/// What has packed a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// gzip
    Gzip,
    /// xz
    Xz,
    /// zstd
    Zstd,
}

/// How files begin that are packed.
const MAGIC: [(Packing, &[u8]); 3] = [
    (Packing::Gzip, b"\x1f\x8b"),
    (Packing::Xz, b"\xfd7zXZ\0"),
    (Packing::Zstd, b"\x28\xb5\x2f\xfd"),
];

impl Packing {
    /// What a file's first bytes say.
    pub fn of(front: &[u8]) -> Option<Self> {
        MAGIC
            .into_iter()
            .find(|(_, magic)| front.starts_with(magic))
            .map(|(packing, _)| packing)
    }

    /// Reads as many bytes to the end of `front` as it takes to know: of a text none but the first, so that nobody waits
    /// for more.
    fn find(file: &mut File, front: &mut Vec<u8>) -> io::Result<Option<Self>> {
        while Packing::of(front).is_none()
            && MAGIC.iter().any(|(_, magic)| magic.starts_with(front))
        {
            let mut byte = [0];
            match file.read(&mut byte) {
                Ok(0) => break,
                Ok(_) => front.extend(byte),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Packing::of(front))
    }

    /// The bytes that `packed` holds.
    ///
    /// # Errors
    /// It cannot be read, or is not what its first bytes say.
    pub fn unpack(self, packed: impl Read + Send + 'static) -> io::Result<Box<dyn Read + Send>> {
        let packed = BufReader::new(packed);
        let bytes: Box<dyn Read + Send> = match self {
            Packing::Gzip => Box::new(Unpacked(MultiGzDecoder::new(packed))),
            Packing::Xz => {
                let stream = Stream::new_stream_decoder(XZ_MEMORY, CONCATENATED)?;
                Box::new(Unpacked(XzDecoder::new_stream(packed, stream)))
            }
            Packing::Zstd => Box::new(Unpacked(Frames::Between(packed))),
        };
        Ok(Box::new(bytes.take(MOST_UNPACKED)))
    }
}

/// The bytes of a log.
pub enum Content {
    /// As they are in the file.
    Plain(Plain),
    /// Unpacked, which takes far longer than to read them.
    Packed(Box<dyn Read + Send>),
}

impl Read for Content {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Content::Plain(file) => file.read(buffer),
            Content::Packed(bytes) => bytes.read(buffer),
        }
    }
}

/// A file of which the first bytes were read to know what it is, as a pipe tells them only once.
#[derive(Debug)]
pub struct Plain {
    front: Cursor<Vec<u8>>,
    file: File,
}

impl Read for Plain {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.front.read(buffer)? {
            0 => self.file.read(buffer),
            read => Ok(read),
        }
    }
}

/// To know whether there is more to read.
impl AsFd for Plain {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

/// Opens a log or a pipe that may be packed, from where it stands. The place in `file`, which its duplicates share, tells
/// how much of it has been read.
///
/// # Errors
/// It cannot be read.
pub fn open(mut file: File) -> io::Result<Content> {
    let mut front = Vec::new();
    let packing = Packing::find(&mut file, &mut front)?;
    let plain = Plain {
        front: Cursor::new(front),
        file,
    };
    Ok(match packing {
        Some(packing) => Content::Packed(packing.unpack(plain)?),
        None => Content::Plain(plain),
    })
}

/// Bytes that are unpacked. What is wrong with them each decoder tells in its own words, and few of them are for people.
struct Unpacked<R>(R);

impl<R: Read> Read for Unpacked<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData | ErrorKind::InvalidInput => {
                let message = "it is packed, and cut off, damaged or followed by something else";
                io::Error::new(error.kind(), message)
            }
            _ => error,
        })
    }
}

/// The frames of zstd one after the other; its decoder knows only one.
enum Frames<R: BufRead> {
    Between(R),
    Inside(Box<StreamingDecoder<R, ruzstd::decoding::FrameDecoder>>),
    Broken,
}

impl<R: BufRead> Read for Frames<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match std::mem::replace(self, Frames::Broken) {
                Frames::Between(mut packed) => {
                    if packed.fill_buf()?.is_empty() {
                        *self = Frames::Between(packed);
                        return Ok(0);
                    }
                    let decoder = StreamingDecoder::new(packed)
                        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                    *self = Frames::Inside(Box::new(decoder));
                }
                Frames::Inside(mut decoder) => {
                    let read = decoder
                        .read(buffer)
                        .map_err(|error| io::Error::new(ErrorKind::InvalidData, error))?;
                    if read > 0 || buffer.is_empty() {
                        *self = Frames::Inside(decoder);
                        return Ok(read);
                    }
                    *self = Frames::Between(decoder.into_inner());
                }
                Frames::Broken => return Err(ErrorKind::InvalidData.into()),
            }
        }
    }
}
