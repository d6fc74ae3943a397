//! Rows as Arrow record batches of known kinds.
//!
//! It must not know where the kinds came from: every value is one that they admit.

use std::sync::Arc;

use arrow::array::{
    Array as _, ArrayRef, BooleanArray, Float64Array, Int64Array, ListArray, StringArray,
    StructArray,
};
use arrow::buffer::{NullBuffer, OffsetBuffer};
use arrow::datatypes::{Schema, SchemaRef};
use arrow::record_batch::RecordBatch;
use serde_json::Value;

use super::kind::{Fields, Kind};
use crate::data::row::Columns;

/// The schema of a table with these columns.
pub(super) fn schema(fields: &Fields) -> SchemaRef {
    Arc::new(Schema::new(fields.to_arrow()))
}

/// The rows as a batch: `[rows, columns]`, an absent value as null.
pub(super) fn batch(schema: &SchemaRef, fields: &Fields, rows: &[Columns]) -> RecordBatch {
    let arrays = fields.0.iter().map(|(name, kind)| {
        let values: Vec<_> = rows.iter().map(|row| row.get(name)).collect();
        array(kind, &values)
    });
    RecordBatch::try_new(Arc::clone(schema), arrays.collect())
        .expect("arrays are built by the schema's own kinds")
}

/// Bytes that the batch takes in memory; the `num_bytes` of a card.
pub(super) fn n_bytes(batch: &RecordBatch) -> u64 {
    let sizes = batch.columns().iter().map(|column| {
        column.to_data().get_slice_memory_size().expect("the batch has plain layouts only") as u64
    });
    sizes.sum()
}

fn array(kind: &Kind, values: &[Option<&Value>]) -> ArrayRef {
    match kind {
        Kind::Null => unreachable!("kinds are settled before they are stored"),
        Kind::Bool => {
            let cells = values.iter().map(|v| v.and_then(Value::as_bool));
            Arc::new(cells.collect::<BooleanArray>())
        }
        Kind::Int => {
            let cells = values.iter().map(|v| v.and_then(Value::as_i64));
            Arc::new(cells.collect::<Int64Array>())
        }
        Kind::Float => {
            let cells = values.iter().map(|v| v.and_then(Value::as_f64));
            Arc::new(cells.collect::<Float64Array>())
        }
        Kind::Text => {
            let cells = values.iter().map(|v| v.and_then(Value::as_str));
            Arc::new(cells.collect::<StringArray>())
        }
        Kind::Mixed => {
            let cells = values.iter().map(|v| v.and_then(mixed));
            Arc::new(cells.collect::<StringArray>())
        }
        Kind::List(kind) => Arc::new(lists(kind, values)),
        Kind::Struct(fields) => Arc::new(structs(fields, values)),
    }
}

fn mixed(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
            Some(value.to_string())
        }
    }
}

fn lists(kind: &Kind, values: &[Option<&Value>]) -> ListArray {
    let lists: Vec<_> = values.iter().map(|v| v.and_then(Value::as_array)).collect();
    let lengths = lists.iter().map(|list| list.map_or(0, Vec::len));
    let offsets = OffsetBuffer::<i32>::from_lengths(lengths);
    let inner: Vec<_> = lists.iter().flatten().flat_map(|list| list.iter().map(Some)).collect();
    let nulls: NullBuffer = lists.iter().map(Option::is_some).collect();
    ListArray::new(Arc::new(Kind::list_field(kind)), offsets, array(kind, &inner), Some(nulls))
}

fn structs(fields: &Fields, values: &[Option<&Value>]) -> StructArray {
    let objects: Vec<_> = values.iter().map(|v| v.and_then(Value::as_object)).collect();
    let arrays = fields.0.iter().map(|(name, kind)| {
        let inner: Vec<_> =
            objects.iter().map(|object| object.and_then(|object| object.get(name))).collect();
        array(kind, &inner)
    });
    let nulls: NullBuffer = objects.iter().map(Option::is_some).collect();
    StructArray::new(fields.to_arrow(), arrays.collect(), Some(nulls))
}
