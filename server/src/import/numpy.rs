//! NumPy: a file for each field, named after it.

use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, FixedSizeListArray, Float32Array, Float64Array, Int8Array, Int16Array,
    Int32Array, Int64Array, RecordBatch, StringArray, UInt8Array,
};
use arrow::datatypes::Field as ArrowField;
use elanus_engine::core::schema::CollectionSchema;

use super::source::Source;
use super::{BATCH_ROWS, arrays, batch, check_known, failed, refuse_struct};
use crate::status::Failure;

/// Reads the files of one set of rows.
pub fn read(
    files: &[(String, Source)],
    schema: &CollectionSchema,
    sink: &mut dyn FnMut(RecordBatch) -> Result<bool, Failure>,
) -> Result<(), Failure> {
    let mut columns = Vec::new();
    for (name, source) in files {
        let field = Path::new(name).file_stem().unwrap_or_default().to_string_lossy();
        check_known(schema, &field)?;
        refuse_struct(schema, &field)?;
        let at = |e: Failure| failed(format!("{name}: {}", e.reason));
        let array = parse(&source.bytes()?).map_err(at)?;
        columns.push((schema.field(&field)?, array));
    }
    let rows = columns.first().map_or(0, |(_, array)| array.len());
    if let Some((field, array)) = columns.iter().find(|(_, array)| array.len() != rows) {
        return Err(failed(format!(
            "the files differ in their number of rows: {rows} and {} of field '{}'",
            array.len(),
            field.name
        )));
    }
    for from in (0..rows).step_by(BATCH_ROWS) {
        let count = BATCH_ROWS.min(rows - from);
        let part =
            |(field, array): &(&_, ArrayRef)| arrays::column(field, &array.slice(from, count));
        let part = columns.iter().map(part).collect::<Result<_, _>>()?;
        if !sink(batch(schema, part, count)?)? {
            return Ok(());
        }
    }
    Ok(())
}

/// One file: a row of values, or rows of lists.
fn parse(bytes: &[u8]) -> Result<ArrayRef, Failure> {
    let (header, data) = split(bytes)?;
    if value_of(header, "fortran_order")?.starts_with("True") {
        return Err(failed("columns in Fortran's order are not supported: save them in C's order"));
    }
    let shape = shape(header)?;
    let kind = value_of(header, "descr")?;
    let kind = kind.trim_start_matches(['\'', '"']).split(['\'', '"']).next().unwrap_or_default();
    let count = shape.iter().try_fold(1usize, |all, n| all.checked_mul(*n));
    let count = count.ok_or_else(|| failed("the shape is too large"))?;
    let flat = values(kind, data, count)?;
    match shape[..] {
        [_] => Ok(flat),
        [rows, width] => {
            let item = Arc::new(ArrowField::new("item", flat.data_type().clone(), true));
            let width = i32::try_from(width).map_err(|_| failed("the rows are too long"))?;
            let list = FixedSizeListArray::try_new_with_length(item, width, flat, None, rows);
            Ok(Arc::new(list.map_err(failed)?))
        }
        _ => Err(failed(format!("expected one or two dimensions, but got {}", shape.len()))),
    }
}

fn split(bytes: &[u8]) -> Result<(&str, &[u8]), Failure> {
    let bad = || failed("this is no NumPy file");
    let rest = bytes.strip_prefix(b"\x93NUMPY").ok_or_else(bad)?;
    let (version, rest) = rest.split_at_checked(2).ok_or_else(bad)?;
    let width = if version[0] == 1 { 2 } else { 4 };
    let (length, rest) = rest.split_at_checked(width).ok_or_else(bad)?;
    let length = length.iter().rev().fold(0usize, |all, byte| all << 8 | usize::from(*byte));
    let (header, data) = rest.split_at_checked(length).ok_or_else(bad)?;
    Ok((std::str::from_utf8(header).map_err(|_| bad())?, data))
}

/// What stands after a key of the header, which is a dictionary of Python's.
fn value_of<'a>(header: &'a str, key: &str) -> Result<&'a str, Failure> {
    let found = header.split_once(&format!("'{key}':")).map(|(_, rest)| rest.trim_start());
    found.ok_or_else(|| failed(format!("the header has no {key}")))
}

fn shape(header: &str) -> Result<Vec<usize>, Failure> {
    let bad = || failed("the shape cannot be read");
    let text = value_of(header, "shape")?.strip_prefix('(').ok_or_else(bad)?;
    let (text, _) = text.split_once(')').ok_or_else(bad)?;
    let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
    parts.map(|part| part.parse().map_err(|_| bad())).collect()
}

macro_rules! little_endian {
    ($array:ident, $number:ty, $data:expr, $count:expr) => {{
        const WIDTH: usize = size_of::<$number>();
        let values = exactly($data, $count, WIDTH)?.chunks_exact(WIDTH);
        let number = |bytes: &[u8]| {
            let mut own = [0; WIDTH];
            own.copy_from_slice(bytes);
            <$number>::from_le_bytes(own)
        };
        Arc::new($array::from_iter_values(values.map(number)))
    }};
}

fn exactly(data: &[u8], count: usize, width: usize) -> Result<&[u8], Failure> {
    let length = count.checked_mul(width).filter(|length| *length <= data.len());
    let length = length.ok_or_else(|| failed("the file is shorter than its shape says"))?;
    Ok(&data[..length])
}

fn values(kind: &str, data: &[u8], count: usize) -> Result<ArrayRef, Failure> {
    Ok(match kind {
        "<f4" => little_endian!(Float32Array, f32, data, count),
        "<f8" => little_endian!(Float64Array, f64, data, count),
        "|i1" | "<i1" => little_endian!(Int8Array, i8, data, count),
        "<i2" => little_endian!(Int16Array, i16, data, count),
        "<i4" => little_endian!(Int32Array, i32, data, count),
        "<i8" => little_endian!(Int64Array, i64, data, count),
        "|u1" | "<u1" => little_endian!(UInt8Array, u8, data, count),
        "|b1" => {
            let bytes = exactly(data, count, 1)?;
            Arc::new(bytes.iter().map(|b| Some(*b != 0)).collect::<BooleanArray>())
        }
        text => match text.strip_prefix("<U").and_then(|width| width.parse::<usize>().ok()) {
            Some(width) => Arc::new(StringArray::from(texts(data, count, width)?)),
            None => return Err(failed(format!("values of type {text} are not supported"))),
        },
    })
}

/// Texts of fixed width, four bytes for each character, with zeros at the end.
fn texts(data: &[u8], count: usize, width: usize) -> Result<Vec<String>, Failure> {
    let bytes = 4usize.checked_mul(width).ok_or_else(|| failed("the texts are too long"))?;
    let data = exactly(data, count, bytes)?;
    if bytes == 0 {
        return Ok(vec![String::new(); count]);
    }
    let one = |text: &[u8]| {
        let codes = text.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]]));
        let mut codes: Vec<u32> = codes.collect();
        while codes.last() == Some(&0) {
            codes.pop();
        }
        let letters: Option<String> = codes.into_iter().map(char::from_u32).collect();
        letters.ok_or_else(|| failed("a text holds what is no character"))
    };
    data.chunks_exact(bytes).map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Array, AsArray};
    use arrow::datatypes::Int64Type;

    fn file(header: &str, data: &[u8]) -> Vec<u8> {
        let length = u16::try_from(header.len()).expect("short").to_le_bytes();
        [b"\x93NUMPY\x01\x00".as_slice(), &length, header.as_bytes(), data].concat()
    }

    #[test]
    fn files_are_read_and_damage_is_told() {
        let header = "{'descr': '<i8', 'fortran_order': False, 'shape': (2,), }\n";
        let data = [1i64.to_le_bytes(), (-2i64).to_le_bytes()].concat();
        let array = parse(&file(header, &data)).expect("two numbers");
        assert_eq!(array.as_primitive::<Int64Type>().values(), &[1, -2]);
        let short = parse(&file(header, &data[..9])).expect_err("too short").reason;
        assert!(short.contains("shorter than its shape"), "{short}");
        let lists = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }";
        let array = parse(&file(lists, &[1, 2, 3, 4, 5, 6])).expect("two lists");
        assert_eq!((array.len(), array.as_fixed_size_list().value_length()), (2, 3));
        for (header, words) in [
            ("{'descr': '<i8', 'fortran_order': True, 'shape': (2,), }", "Fortran"),
            ("{'descr': '<c8', 'fortran_order': False, 'shape': (2,), }", "<c8"),
            ("{'descr': '<i8', 'fortran_order': False, 'shape': (1, 1, 1), }", "dimensions"),
            ("{'descr': '<i8', 'fortran_order': False, 'shape': 7}", "shape"),
            ("{}", "fortran_order"),
        ] {
            let reason = parse(&file(header, &data)).expect_err(words).reason;
            assert!(reason.contains(words), "{reason}");
        }
        assert!(parse(b"\x93NUMPY\x01\x00\xff\xff{").is_err());
    }

    #[test]
    fn texts_lose_their_padding() {
        let data: Vec<u8> = ['h', 'é', '\0', 'x', '\0', '\0']
            .iter()
            .flat_map(|c| u32::from(*c).to_le_bytes())
            .collect();
        assert_eq!(texts(&data, 2, 3).expect("texts"), ["hé", "x"]);
    }
}
