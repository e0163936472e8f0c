//! What an expression names: paths such as `nodes.update.change`, and functions.
//!
//! Read from CEL's syntax tree and not from the text, because text lies: `'nodes.x'` in quotes names nothing, `nodes["x"].y` names the same as
//! `nodes.x.y`, and in `input.lines.map(line, line.amount)` the name `line` is the expression's own.

use cel::Context;
use cel::common::ast::{EntryExpr, Expr, IdedEntryExpr, IdedExpr, LiteralValue, operators};

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    /// Each path from its root on: `["nodes", "update", "change"]`.
    pub(crate) paths: Vec<Vec<String>>,
    /// The functions that it calls, operators excepted.
    pub(crate) functions: Vec<String>,
}

// === impl Names ===

impl Names {
    /// A path alone.
    pub(crate) fn of_path(segments: &[String]) -> Self {
        Self { paths: vec![segments.to_vec()], functions: Vec::new() }
    }

    /// Everything in a syntax tree.
    pub(crate) fn of_cel(expression: &IdedExpr) -> Self {
        let mut names = Self::default();
        names.walk(&expression.expr, &mut Vec::new());
        names
    }

    /// The functions that CEL does not have.
    pub(crate) fn unknown_functions(&self) -> impl Iterator<Item = &str> {
        let functions = self.functions.iter().map(String::as_str);
        // CEL does not list its functions, but it refuses to have one declared twice.
        functions.filter(|name| Context::default().add_function(name, |number: i64| number).is_ok())
    }

    fn walk<'a>(&mut self, expression: &'a Expr, own: &mut Vec<&'a str>) {
        if let Some(path) = path(expression) {
            if !own.contains(&path[0]) {
                self.paths.push(path.into_iter().map(str::to_owned).collect());
            }
            return;
        }
        match expression {
            Expr::Call(call) => {
                let is_operator = call.func_name.contains(['_', '@']) || call.func_name == operators::HAS;
                if !is_operator && !self.functions.contains(&call.func_name) {
                    self.functions.push(call.func_name.clone());
                }
                for part in call.target.iter().map(AsRef::as_ref).chain(&call.args) {
                    self.walk(&part.expr, own);
                }
            }
            Expr::Select(select) => self.walk(&select.operand.expr, own),
            Expr::List(list) => list.elements.iter().for_each(|element| self.walk(&element.expr, own)),
            Expr::Map(map) => self.walk_entries(&map.entries, own),
            Expr::Struct(fields) => self.walk_entries(&fields.entries, own),
            Expr::Comprehension(all) => {
                self.walk(&all.iter_range.expr, own);
                let outer = own.len();
                own.extend([all.iter_var.as_str(), all.accu_var.as_str()]);
                own.extend(all.iter_var2.as_deref());
                for part in [&all.accu_init, &all.loop_cond, &all.loop_step, &all.result] {
                    self.walk(&part.expr, own);
                }
                own.truncate(outer);
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }

    fn walk_entries<'a>(&mut self, entries: &'a [IdedEntryExpr], own: &mut Vec<&'a str>) {
        for part in entries.iter().flat_map(entry_parts) {
            self.walk(&part.expr, own);
        }
    }
}

/// The path that an expression spells, if it is one. A test for a field (`has(input.note)`) names what holds the field, for the field may be absent.
fn path(expression: &Expr) -> Option<Vec<&str>> {
    match expression {
        Expr::Ident(name) => Some(vec![name.as_str()]),
        Expr::Select(select) => {
            let mut path = path(&select.operand.expr)?;
            if !select.test {
                path.push(&select.field);
            }
            Some(path)
        }
        Expr::Call(call) if call.func_name == operators::INDEX => match call.args.as_slice() {
            [object, IdedExpr { expr: Expr::Literal(LiteralValue::String(field)), .. }] => {
                let mut path = path(&object.expr)?;
                path.push(field.inner());
                Some(path)
            }
            _ => None,
        },
        _ => None,
    }
}

/// How many levels a syntax tree has. Counted without a call for each level: the tree may be deeper than the stack.
pub(crate) fn depth(expression: &IdedExpr) -> usize {
    let (mut deepest, mut waiting) = (0, vec![(expression, 1)]);
    while let Some((expression, level)) = waiting.pop() {
        deepest = deepest.max(level);
        let mut below = |expression| waiting.push((expression, level + 1));
        match &expression.expr {
            Expr::Call(call) => call.target.iter().map(AsRef::as_ref).chain(&call.args).for_each(below),
            Expr::Select(select) => below(&select.operand),
            Expr::List(list) => list.elements.iter().for_each(below),
            Expr::Map(map) => map.entries.iter().flat_map(entry_parts).for_each(below),
            Expr::Struct(fields) => fields.entries.iter().flat_map(entry_parts).for_each(below),
            Expr::Comprehension(all) => {
                let parts = [&all.iter_range, &all.accu_init, &all.loop_cond, &all.loop_step, &all.result];
                parts.into_iter().for_each(below);
            }
            Expr::Unspecified | Expr::Ident(_) | Expr::Literal(_) => {}
        }
    }
    deepest
}

/// What an entry is made of: a value, and before it a key that is an expression, too.
fn entry_parts(entry: &IdedEntryExpr) -> impl Iterator<Item = &IdedExpr> {
    let (key, value) = match &entry.expr {
        EntryExpr::StructField(field) => (None, &field.value),
        EntryExpr::MapEntry(entry) => (Some(&entry.key), &entry.value),
    };
    key.into_iter().chain([value])
}

#[cfg(test)]
mod tests {
    use cel::Program;

    use super::*;

    fn paths(source: &str) -> Vec<String> {
        let program = Program::compile(source).unwrap();
        Names::of_cel(program.expression()).paths.iter().map(|path| path.join(".")).collect()
    }

    #[test]
    fn paths_are_whole_and_quotes_name_nothing() {
        assert_eq!(paths("nodes.a.b != null && size(input.list) > 0"), ["nodes.a.b", "input.list"]);
        assert_eq!(paths("nodes[\"a\"].b + 'nodes.c'"), ["nodes.a.b"]);
        assert_eq!(paths("has(input.note) ? input.note : 'none'"), ["input", "input.note"]);
        assert_eq!(paths("{'a': item.x, 'b': [item.y]}"), ["item.x", "item.y"]);
    }

    #[test]
    fn a_loops_own_names_are_its_own() {
        assert_eq!(paths("input.lines.map(line, line.amount * input.rate)"), ["input.lines", "input.rate"]);
        assert_eq!(paths("input.a.all(x, x > 1) && x.y"), ["input.a", "x.y"]);
    }

    #[test]
    fn functions_are_known_or_not() {
        let program =
            Program::compile("size(input.a) + input.b.startsWith('x') + moon(1) + input.c.tides()").unwrap();
        let names = Names::of_cel(program.expression());
        assert_eq!(names.unknown_functions().collect::<Vec<_>>(), ["moon", "tides"]);
    }
}
