//! One cell of an Arrow array as JSON.
//!
//! Numbers, texts, bools, lists and structs become what they are; everything that JSON has no
//! kind for (dates, decimals, bytes) becomes its text. Not a number becomes null.

use arrow::array::{Array, ArrowPrimitiveType, AsArray as _};
use arrow::compute::cast;
use arrow::datatypes::{
    DataType, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type, Int64Type,
    UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow::util::display::{ArrayFormatter, FormatOptions};
use serde_json::Value;

/// The cell at `row_idx` of `array`.
pub(super) fn cell(array: &dyn Array, row_idx: usize) -> Value {
    if array.is_null(row_idx) || *array.data_type() == DataType::Null {
        return Value::Null;
    }
    text(array, row_idx)
        .or_else(|| number(array, row_idx))
        .or_else(|| nested(array, row_idx))
        .or_else(|| shown(array, row_idx).map(Value::String))
        .unwrap_or(Value::Null)
}

/// The text of a cell; none for one that has none, such as a date beyond the calendar.
fn shown(array: &dyn Array, row_idx: usize) -> Option<String> {
    let cell = array.slice(row_idx, 1);
    // The values count from an instant; a zone only says how to write them, and names of zones
    // would need a table of them all.
    let cell = if let DataType::Timestamp(unit, Some(_)) = cell.data_type() {
        cast(&cell, &DataType::Timestamp(*unit, Some("+00:00".into()))).ok()?
    } else {
        cell
    };
    let options = FormatOptions::new().with_display_error(false);
    let formatter = ArrayFormatter::try_new(&cell, &options).ok()?;
    formatter.value(0).try_to_string().ok()
}

fn text(array: &dyn Array, row_idx: usize) -> Option<Value> {
    let text = if let Some(array) = array.as_string_opt::<i32>() {
        array.value(row_idx)
    } else if let Some(array) = array.as_string_opt::<i64>() {
        array.value(row_idx)
    } else {
        array.as_string_view_opt()?.value(row_idx)
    };
    Some(Value::String(text.to_owned()))
}

fn number(array: &dyn Array, row_idx: usize) -> Option<Value> {
    fn of<T: ArrowPrimitiveType<Native: Into<Value>>>(
        array: &dyn Array,
        i: usize,
    ) -> Option<Value> {
        array.as_primitive_opt::<T>().map(|array| array.value(i).into())
    }
    let i = row_idx;
    array
        .as_boolean_opt()
        .map(|array| Value::Bool(array.value(i)))
        .or_else(|| of::<Int64Type>(array, i))
        .or_else(|| of::<Float64Type>(array, i))
        .or_else(|| of::<Int32Type>(array, i))
        .or_else(|| of::<Float32Type>(array, i))
        .or_else(|| of::<UInt64Type>(array, i))
        .or_else(|| of::<UInt32Type>(array, i))
        .or_else(|| of::<Int16Type>(array, i))
        .or_else(|| of::<UInt16Type>(array, i))
        .or_else(|| of::<Int8Type>(array, i))
        .or_else(|| of::<UInt8Type>(array, i))
        .or_else(|| array.as_primitive_opt::<Float16Type>().map(|a| a.value(i).to_f32().into()))
}

fn nested(array: &dyn Array, row_idx: usize) -> Option<Value> {
    if let Some(array) = array.as_struct_opt() {
        let names = array.column_names().into_iter().map(str::to_owned);
        let cells = array.columns().iter().map(|column| cell(column, row_idx));
        return Some(Value::Object(names.zip(cells).collect()));
    }
    if let Some(array) = array.as_any_dictionary_opt() {
        return Some(cell(array.values(), array.normalized_keys()[row_idx]));
    }
    let values = if let Some(array) = array.as_list_opt::<i32>() {
        array.value(row_idx)
    } else if let Some(array) = array.as_list_opt::<i64>() {
        array.value(row_idx)
    } else {
        array.as_fixed_size_list_opt()?.value(row_idx)
    };
    Some(Value::Array((0..values.len()).map(|i| cell(&values, i)).collect()))
}

#[cfg(test)]
mod tests {
    use arrow::array::TimestampMicrosecondArray;

    use super::*;

    #[test]
    fn an_instant_is_written_in_utc_whatever_its_zone_is_called() {
        for zone in ["UTC", "Europe/Berlin", "+02:00"] {
            let array = TimestampMicrosecondArray::from(vec![0, i64::MAX]).with_timezone(zone);
            assert_eq!(cell(&array, 0), Value::String("1970-01-01T00:00:00Z".into()), "{zone}");
            assert_eq!(cell(&array, 1), Value::Null, "{zone}: beyond the calendar");
        }
    }
}
