//! Reading one HTTP/1.1 response from a stream of bytes.

use std::io;

/// The longest head of a response, and the longest body: an agent that sends more is not ours.
const HEAD_MAX: usize = 64 * 1024;
const BODY_MAX: usize = 64 * 1024 * 1024;
const HEADERS_MAX: usize = 96;

/// A response, read to its end.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Response {
    /// The status.
    pub(crate) status: u16,
    /// The headers in their order, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// The body without its transfer coding.
    pub(crate) body: Vec<u8>,
    /// Whether the connection may carry another request.
    pub(crate) keep_alive: bool,
}

impl Response {
    /// The first header of a name (in lower case).
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// The bytes that have come, and where more come from.
pub(crate) struct Incoming<R> {
    source: R,
    bytes: Vec<u8>,
}

impl<R: FnMut(&mut [u8]) -> io::Result<usize>> Incoming<R> {
    /// Nothing read yet.
    pub(crate) fn new(source: R) -> Self {
        Self { source, bytes: Vec::new() }
    }

    /// Whether any byte has come.
    pub(crate) fn started(&self) -> bool {
        !self.bytes.is_empty()
    }

    /// Waits for more; false at the end of the stream.
    fn more(&mut self) -> io::Result<bool> {
        let mut chunk = [0u8; 8192];
        let count = (self.source)(&mut chunk)?;
        self.bytes.extend_from_slice(&chunk[..count]);
        Ok(count > 0)
    }

    fn more_or_cut(&mut self) -> io::Result<()> {
        if self.more()? { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    /// Reads a whole response to a request of the given method.
    pub(crate) fn response(&mut self, method: &str) -> io::Result<Response> {
        let (mut response, framing) = loop {
            let (response, framing, length) = self.head(method)?;
            self.bytes.drain(..length);
            // Interim answers (100 to 199) only announce the one that counts.
            if response.status >= 200 {
                break (response, framing);
            }
        };
        response.body = match framing {
            Framing::Length(length) => self.take(length)?,
            Framing::Chunked => self.chunks()?,
            Framing::UntilClose => {
                while self.more()? {
                    limit(self.bytes.len(), BODY_MAX)?;
                }
                std::mem::take(&mut self.bytes)
            }
        };
        // Bytes beyond the answer belong to nothing that was asked.
        response.keep_alive &= self.bytes.is_empty();
        Ok(response)
    }

    fn head(&mut self, method: &str) -> io::Result<(Response, Framing, usize)> {
        loop {
            if let Some(head) = parse_head(&self.bytes, method)? {
                return Ok(head);
            }
            limit(self.bytes.len(), HEAD_MAX)?;
            self.more_or_cut()?;
        }
    }

    fn take(&mut self, length: usize) -> io::Result<Vec<u8>> {
        limit(length, BODY_MAX)?;
        while self.bytes.len() < length {
            self.more_or_cut()?;
        }
        let rest = self.bytes.split_off(length);
        Ok(std::mem::replace(&mut self.bytes, rest))
    }

    fn chunks(&mut self) -> io::Result<Vec<u8>> {
        let mut body = Vec::new();
        loop {
            let (line, size) = loop {
                match httparse::parse_chunk_size(&self.bytes).map_err(|_| malformed("chunk size"))? {
                    httparse::Status::Complete((line, size)) => break (line, size),
                    httparse::Status::Partial => self.more_or_cut()?,
                }
            };
            let size = usize::try_from(size).unwrap_or(usize::MAX);
            limit(body.len().saturating_add(size), BODY_MAX)?;
            self.bytes.drain(..line);
            if size == 0 {
                self.trailers()?;
                return Ok(body);
            }
            body.append(&mut self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return Err(malformed("end of a chunk"));
            }
        }
    }

    /// Reads past the trailer section; nothing in it concerns us.
    fn trailers(&mut self) -> io::Result<()> {
        loop {
            while let Some(end) = self.bytes.windows(2).position(|pair| pair == b"\r\n") {
                self.bytes.drain(..end + 2);
                if end == 0 {
                    return Ok(());
                }
            }
            limit(self.bytes.len(), HEAD_MAX)?;
            self.more_or_cut()?;
        }
    }
}

enum Framing {
    Length(usize),
    Chunked,
    UntilClose,
}

fn parse_head(bytes: &[u8], method: &str) -> io::Result<Option<(Response, Framing, usize)>> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut parsed = httparse::Response::new(&mut headers);
    let httparse::Status::Complete(length) = parsed.parse(bytes).map_err(|_| malformed("head"))? else {
        return Ok(None);
    };
    let mut response = Response { status: parsed.code.unwrap_or(0), ..Response::default() };
    for header in parsed.headers.iter() {
        let value = String::from_utf8_lossy(header.value).into_owned();
        response.headers.push((header.name.to_ascii_lowercase(), value));
    }
    let has = |name, token: &str| {
        let value = response.header(name).unwrap_or_default();
        value.split(',').any(|part| part.trim().eq_ignore_ascii_case(token))
    };
    let framing = if method == "HEAD" || response.status < 200 || matches!(response.status, 204 | 304) {
        Framing::Length(0)
    } else if has("transfer-encoding", "chunked") {
        Framing::Chunked
    } else if let Some(length) = response.header("content-length") {
        Framing::Length(length.trim().parse().map_err(|_| malformed("content-length"))?)
    } else {
        Framing::UntilClose
    };
    let keep_alive =
        parsed.version == Some(1) && !has("connection", "close") && !matches!(framing, Framing::UntilClose);
    response.keep_alive = keep_alive;
    Ok(Some((response, framing, length)))
}

fn malformed(part: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, format!("the answer's {part} is not HTTP/1.1"))
}

fn limit(length: usize, max: usize) -> io::Result<()> {
    if length <= max {
        Ok(())
    } else {
        Err(io::Error::new(io::ErrorKind::InvalidData, format!("the answer is longer than {max} bytes")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Reads a response that arrives in pieces of the given size.
    fn read(bytes: &[u8], piece: usize, method: &str) -> io::Result<Response> {
        let mut rest = bytes;
        Incoming::new(|buffer: &mut [u8]| {
            let count = piece.min(rest.len()).min(buffer.len());
            buffer[..count].copy_from_slice(&rest[..count]);
            rest = &rest[count..];
            Ok(count)
        })
        .response(method)
    }

    #[test]
    fn every_framing_is_read_however_it_is_cut() {
        let cases: [(&[u8], &str, bool); 5] = [
            (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello", true),
            (
                b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2;x=y\r\nlo\r\n0\r\nA: b\r\n\r\n",
                "hello",
                true,
            ),
            (b"HTTP/1.1 200 OK\r\n\r\nhello", "hello", false),
            (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 204 No\r\nContent-Length: 3\r\n\r\n", "", true),
            (b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi", "hi", false),
        ];
        for (bytes, body, keep_alive) in cases {
            for piece in [1, 2, 7, 4096] {
                let response = read(bytes, piece, "GET").unwrap();
                assert_eq!(
                    (String::from_utf8_lossy(&response.body).as_ref(), response.keep_alive),
                    (body, keep_alive)
                );
            }
        }
    }

    #[test]
    fn an_answer_to_head_has_no_body_and_surplus_bytes_end_the_connection() {
        let head = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n";
        assert!(read(head, 4096, "HEAD").unwrap().keep_alive);
        assert!(!read(b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nhello", 4096, "GET").unwrap().keep_alive);
    }

    #[test]
    fn cut_and_malformed_answers_are_errors() {
        let kind = |bytes: &[u8]| read(bytes, 4096, "GET").unwrap_err().kind();
        assert_eq!(kind(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(b""), io::ErrorKind::UnexpectedEof);
        assert_eq!(kind(b"SSH-2.0-OpenSSH\r\n\r\n"), io::ErrorKind::InvalidData);
        assert_eq!(kind(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n"), io::ErrorKind::InvalidData);
    }
}
