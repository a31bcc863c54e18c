//! Numbers and quoted text as C writes them.

use super::lexer::Token;

/// What stands between the quotes at the start of `quoted`, still with its escapes.
/// `None` when the line ends first; a backslash may carry the text over a line's end.
pub(crate) fn quoted_body(quoted: &str) -> Option<&str> {
    let mut chars = quoted.char_indices();
    let (_, quote) = chars.next()?;
    while let Some((at, c)) = chars.next() {
        match c {
            '\\' => {
                chars.next()?;
            }
            '\r' | '\n' => return None,
            c if c == quote => return quoted.get(quote.len_utf8()..at),
            _ => {}
        }
    }
    None
}

/// Resolves the escapes of C. An escape that C does not know keeps its backslash, because
/// patterns of `like` and `=~` have backslashes of their own (`\%`, `\d`).
pub(crate) fn unescape(body: &str) -> Result<String, String> {
    if !body.contains('\\') {
        return Ok(body.to_owned());
    }
    let mut out: Vec<u8> = Vec::with_capacity(body.len());
    let mut rest = body;
    while let Some(at) = rest.find('\\') {
        out.extend_from_slice(&rest.as_bytes()[..at]);
        rest = escape(&rest[at + 1..], &mut out)?;
    }
    out.extend_from_slice(rest.as_bytes());
    String::from_utf8(out).map_err(|_| "the escapes of the text do not give valid UTF-8".into())
}

/// One escape behind its backslash; returns what follows it.
fn escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let Some(first) = rest.chars().next() else {
        out.push(b'\\');
        return Ok(rest);
    };
    let after = &rest[first.len_utf8()..];
    let byte = match first {
        'a' => 7,
        'b' => 8,
        'f' => 12,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        'v' => 11,
        '\\' | '"' | '\'' | '?' => first as u8,
        '0'..='7' => return octal_escape(rest, out),
        'x' => return hex_escape(after, out),
        'u' => return unicode_escape(after, 4, out),
        'U' => return unicode_escape(after, 8, out),
        '\n' => return Ok(after),
        '\r' => return Ok(after.strip_prefix('\n').unwrap_or(after)),
        other => {
            out.push(b'\\');
            out.extend_from_slice(other.to_string().as_bytes());
            return Ok(after);
        }
    };
    out.push(byte);
    Ok(after)
}

fn octal_escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let digits = rest.bytes().take(3).take_while(|b| matches!(b, b'0'..=b'7')).count();
    let value = u32::from_str_radix(&rest[..digits], 8).unwrap_or(u32::MAX);
    let byte =
        u8::try_from(value).map_err(|_| format!("\\{} is over one byte", &rest[..digits]))?;
    out.push(byte);
    Ok(&rest[digits..])
}

fn hex_escape<'a>(rest: &'a str, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let digits = rest.bytes().take(2).take_while(u8::is_ascii_hexdigit).count();
    let byte = u8::from_str_radix(&rest[..digits], 16)
        .map_err(|_| "\\x needs one or two hexadecimal digits".to_owned())?;
    out.push(byte);
    Ok(&rest[digits..])
}

fn unicode_escape<'a>(rest: &'a str, digits: usize, out: &mut Vec<u8>) -> Result<&'a str, String> {
    let code = rest
        .get(..digits)
        .filter(|d| d.bytes().all(|b| b.is_ascii_hexdigit()))
        .and_then(|d| u32::from_str_radix(d, 16).ok())
        .and_then(char::from_u32)
        .ok_or_else(|| {
            format!("a Unicode escape needs {digits} hexadecimal digits of a character")
        })?;
    out.extend_from_slice(code.to_string().as_bytes());
    Ok(&rest[digits..])
}

/// The number at the start of `text` and its length in bytes.
pub(crate) fn number(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    if bytes.first() == Some(&b'0') {
        match bytes.get(1) {
            Some(b'x' | b'X') => return hexadecimal(text),
            Some(b'b' | b'B') => return radix(text, 2, 2, |b| matches!(b, b'0' | b'1')),
            _ => {}
        }
    }
    let whole = digits(bytes, 0);
    let mut end = whole;
    if bytes.get(end) == Some(&b'.') {
        end = digits(bytes, end + 1);
    }
    end = exponent(bytes, end, b'e');
    if end > whole {
        let value = text[..end].parse::<f64>().map_err(|_| bad(&text[..end]))?;
        if !value.is_finite() {
            return Err(format!("{} does not fit in a 64-bit float", &text[..end]));
        }
        return Ok((Token::Float(value), end));
    }
    if whole > 1 && bytes[0] == b'0' {
        return radix(text, 1, 8, |b| matches!(b, b'0'..=b'7'));
    }
    Ok((Token::Int(integer(&text[..whole], 10)?), whole))
}

fn digits(bytes: &[u8], from: usize) -> usize {
    from + bytes.iter().skip(from).take_while(|b| b.is_ascii_digit()).count()
}

/// The end of an exponent (`e-5`, `p3`) at `from`, or `from` when there is none.
fn exponent(bytes: &[u8], from: usize, letter: u8) -> usize {
    if !bytes.get(from).is_some_and(|b| b.eq_ignore_ascii_case(&letter)) {
        return from;
    }
    let sign = usize::from(matches!(bytes.get(from + 1), Some(b'+' | b'-')));
    let end = digits(bytes, from + 1 + sign);
    if end == from + 1 + sign { from } else { end }
}

fn radix(
    text: &str,
    prefix: usize,
    base: u32,
    is_digit: fn(&u8) -> bool,
) -> Result<(Token, usize), String> {
    let length = prefix + text.bytes().skip(prefix).take_while(is_digit).count();
    if text.as_bytes().get(length).is_some_and(u8::is_ascii_digit) {
        return Err(bad(text));
    }
    Ok((Token::Int(integer(&text[prefix..length], base)?), length))
}

fn integer(digits: &str, base: u32) -> Result<u64, String> {
    if digits.is_empty() {
        return Err("a number needs digits behind its prefix".into());
    }
    // One more than the largest: with a minus before it, it is the smallest.
    u64::from_str_radix(digits, base)
        .ok()
        .filter(|v| *v <= i64::MIN.unsigned_abs())
        .ok_or_else(|| format!("{digits} does not fit in a 64-bit integer"))
}

/// `0x1F`, or a float such as `0x1.8p3`.
fn hexadecimal(text: &str) -> Result<(Token, usize), String> {
    let bytes = text.as_bytes();
    let hex =
        |from: usize| from + bytes.iter().skip(from).take_while(|b| b.is_ascii_hexdigit()).count();
    let whole = hex(2);
    let point = bytes.get(whole) == Some(&b'.');
    let mantissa = if point { hex(whole + 1) } else { whole };
    let end = exponent(bytes, mantissa, b'p');
    if end == mantissa {
        if point {
            return Err("a hexadecimal float needs an exponent, as in 0x1.8p3".into());
        }
        return Ok((Token::Int(integer(&text[2..whole], 16)?), whole));
    }
    let power: i32 = text[mantissa + 1..end].parse().map_err(|_| bad(&text[..end]))?;
    let fraction = if point { mantissa - whole - 1 } else { 0 };
    let value = text[2..mantissa]
        .bytes()
        .filter_map(|b| char::from(b).to_digit(16))
        .fold(0.0, |sum, digit| sum * 16.0 + f64::from(digit));
    let shift = i32::try_from(fraction).unwrap_or(i32::MAX).saturating_mul(4);
    let value = value * 2f64.powi(power.saturating_sub(shift));
    if !value.is_finite() {
        return Err(format!("{} does not fit in a 64-bit float", &text[..end]));
    }
    Ok((Token::Float(value), end))
}

fn bad(text: &str) -> String {
    let near: String = text.chars().take(24).collect();
    format!("\"{near}\" is not a number")
}
