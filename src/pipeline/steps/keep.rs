//! KeepColumns: a choice of columns, in the order asked for.

use std::borrow::Cow;

use super::{Dropped, Plain};
use crate::data::row::Columns;
use crate::pipeline::noise::Draw;
use crate::recipe::spec::KeepColumns;

pub(super) struct KeepStep {
    columns: Vec<String>,
}

impl KeepStep {
    pub(super) fn build(spec: &KeepColumns) -> Self {
        Self { columns: spec.columns.clone() }
    }
}

impl Plain for KeepStep {
    fn apply(&self, row: &mut Cow<'_, Columns>, _: Draw<'_>) -> Result<Vec<Columns>, Dropped> {
        let mut kept = Columns::new();
        for column in &self.columns {
            let value =
                row.get(column).ok_or_else(|| Dropped::new(format!("no column `{column}`"), ""))?;
            kept.insert(column.clone(), value.clone());
        }
        Ok(vec![kept])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pipeline::steps::DRAW;
    use serde_json::json;

    #[test]
    fn columns_come_in_the_order_asked_for() {
        let columns = vec!["c".to_owned(), "a".to_owned()];
        let step = KeepStep::build(&KeepColumns { columns });
        let row = json!({"a": 1, "b": 2, "c": 3});
        let kept = step.apply(&mut Cow::Borrowed(row.as_object().unwrap()), DRAW).unwrap();
        assert_eq!(serde_json::to_string(&kept[0]).unwrap(), r#"{"c":3,"a":1}"#);
        assert_eq!(
            step.apply(&mut Cow::Owned(Columns::new()), DRAW).unwrap_err().reason,
            "no column `c`"
        );
    }
}
