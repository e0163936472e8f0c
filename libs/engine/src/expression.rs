//! Expressions: what stands between `${` and `}`.
//!
//! Most only name a value (`nodes.update.change`). Those are read straight from the JSON and pass it on untouched, so that a number keeps its decimal
//! text. Everything else is CEL, compiled once; there a number is an integer, or else a float, which is fit for a gate and never for an amount.

use std::borrow::Cow;
use std::fmt;

use cel::objects::{Key, Map};
use cel::{Context, ExecutionError, Program};
use pathway_kernel::{Code, Fault};
use serde_json::{Map as Object, Number, Value};

use crate::names::{self, Names};

/// The longest expression that is taken: CEL has no bound on the cost of one, but its length bounds it.
const LONGEST: usize = 1000;
/// How deep an expression may nest. Evaluating one takes stack for each level, and a stack that overflows takes the process with it.
const DEEPEST: usize = 32;
/// How many levels CEL's parser may go down on the caller's stack.
const SHALLOW: usize = 4;
/// The stack on which more are read. The parser stops at 96 levels, and takes up to 200 KiB for each in a build without optimisation.
const STACK: usize = 32 * 1024 * 1024;

/// A compiled expression.
pub(crate) struct Expression {
    source: String,
    kind: Kind,
}

enum Kind {
    Path(Vec<String>),
    Cel(Box<Cel>),
}

/// A program, and which of the roots it names: what it does not name is not brought before it.
struct Cel {
    program: Program,
    input: bool,
    nodes: bool,
    item: bool,
}

/// What an expression can name.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scope<'a> {
    /// The event's data.
    pub(crate) input: &'a Value,
    /// What the nodes before have answered, an object.
    pub(crate) nodes: &'a Value,
    /// The item of a `for_each`.
    pub(crate) item: Option<&'a Value>,
}

// === impl Expression ===

impl Expression {
    /// Compiles an expression, or says what is wrong with it.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let source = source.trim().to_owned();
        if source.is_empty() || source.len() > LONGEST {
            return Err(format!("an expression has 1 to {LONGEST} characters"));
        }
        let segments: Vec<String> = source.split('.').map(str::to_owned).collect();
        let kind = if segments.iter().all(|segment| is_identifier(segment)) && !is_literal(&segments) {
            Kind::Path(segments)
        } else {
            Kind::Cel(Box::new(Cel::new(compile(&source)?)))
        };
        Ok(Self { source, kind })
    }

    /// What it names.
    pub(crate) fn names(&self) -> Names {
        match &self.kind {
            Kind::Path(segments) => Names::of_path(segments),
            Kind::Cel(cel) => Names::of_cel(cel.program.expression()),
        }
    }

    /// The roots that it names, such as `input`.
    pub(crate) fn roots(&self) -> Vec<String> {
        self.names().paths.into_iter().filter_map(|path| path.into_iter().next()).collect()
    }

    /// The literal that it is, if it is one.
    pub(crate) fn literal(&self) -> Option<Value> {
        match &self.kind {
            Kind::Cel(_) if self.names() == Names::default() => {
                let scope = Scope { input: &Value::Null, nodes: &Value::Null, item: None };
                self.evaluate(scope).ok().map(Cow::into_owned)
            }
            Kind::Path(_) | Kind::Cel(_) => None,
        }
    }

    /// The path that it is, if it is no more than one.
    pub(crate) fn as_path(&self) -> Option<&[String]> {
        match &self.kind {
            Kind::Path(segments) => Some(segments),
            Kind::Cel(_) => None,
        }
    }

    /// Its value. What does not exist is null.
    pub(crate) fn evaluate<'a>(&self, scope: Scope<'a>) -> Result<Cow<'a, Value>, Fault> {
        match &self.kind {
            Kind::Path(segments) => Ok(self.walk(segments, scope)),
            Kind::Cel(cel) => self.execute(cel, scope).map(Cow::Owned),
        }
    }

    #[expect(clippy::unused_self, reason = "reads as a step of `evaluate`")]
    fn walk<'a>(&self, segments: &[String], scope: Scope<'a>) -> Cow<'a, Value> {
        let root = match segments[0].as_str() {
            "input" => Some(scope.input),
            "nodes" => Some(scope.nodes),
            "item" => scope.item,
            _ => None,
        };
        let found =
            segments[1..].iter().try_fold(root, |value, segment| value.map(|value| value.get(segment)));
        found.flatten().map_or(Cow::Owned(Value::Null), Cow::Borrowed)
    }

    fn execute(&self, cel: &Cel, scope: Scope<'_>) -> Result<Value, Fault> {
        let failed = |what: String| {
            let message = format!("the expression `{}` cannot be evaluated: {what}", self.source);
            Fault::new(Code::InvalidArgument, "EXPRESSION_FAILED", message)
        };
        let mut context = Context::default();
        let roots = [
            ("input", cel.input.then_some(scope.input)),
            ("nodes", cel.nodes.then_some(scope.nodes)),
            ("item", scope.item.filter(|_| cel.item)),
        ];
        for (root, value) in roots {
            if let Some(value) = value {
                context.add_variable_from_value(root, to_cel(value));
            }
        }
        let value = cel.program.execute(&context).map_err(|error| failed(self.reason(&error)))?;
        from_cel(&value).ok_or_else(|| failed("its value has no JSON form".to_owned()))
    }

    /// Why it failed, in words that tell kinds of values and never a value: CEL's own words repeat them, whole events among them, and a failure is logged and kept.
    fn reason(&self, error: &ExecutionError) -> String {
        use ExecutionError as E;
        let of = |value: &cel::Value| value.type_of().to_string();
        match error {
            // A key that the expression does not spell comes from the event.
            E::NoSuchKey(key) if self.source.contains(key.as_str()) => format!("there is no `{key}`"),
            E::NoSuchKey(_) => "there is no such key".to_owned(),
            // The kinds of its arguments.
            E::NoSuchOverload(overload) => overload.to_string(),
            E::InvalidArgumentCount { .. } | E::UndeclaredReference(_) | E::MissingArgumentOrTarget => {
                error.to_string()
            }
            E::ValuesNotComparable(one, other) => format!("{} and {} cannot be compared", of(one), of(other)),
            E::UnsupportedBinaryOperator(operator, one, other) => {
                format!("there is no `{operator}` of {} and {}", of(one), of(other))
            }
            E::NotSupportedAsMethod { method, target } => format!("{} has no `{method}`", of(target)),
            E::UnsupportedTargetType { target } => format!("{} is no argument", of(target)),
            // What it got is told with its value in places.
            E::UnexpectedType { want, .. } => format!("something else stands where {want} belongs"),
            E::UnsupportedKeyType(key) => format!("{} is no key", of(key)),
            E::UnsupportedIndex(index, value) => format!("{} has no index of {}", of(value), of(index)),
            E::FunctionError { function, .. } => format!("`{function}` fails for this value"),
            E::DivisionByZero(_) | E::RemainderByZero(_) => "it divides by zero".to_owned(),
            E::Overflow(operator, ..) => format!("`{operator}` overflows"),
            E::IndexOutOfBounds(_) => "an index is out of bounds".to_owned(),
            E::DuplicateKey(_) => "a key is there twice".to_owned(),
            _ => "it fails for these values".to_owned(),
        }
    }
}

// === impl Cel ===

impl Cel {
    fn new(program: Program) -> Self {
        let names = Names::of_cel(program.expression());
        let names_root =
            |root: &str| names.paths.iter().any(|path| path.first().is_some_and(|first| first == root));
        let (input, nodes, item) = (names_root("input"), names_root("nodes"), names_root("item"));
        Self { program, input, nodes, item }
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expression").field(&self.source).finish()
    }
}

/// Compiles CEL, where it is not too deep to be evaluated.
fn compile(source: &str) -> Result<Program, String> {
    let compile = || {
        let program = Program::compile(source).map_err(|error| error.to_string())?;
        if names::depth(program.expression()) > DEEPEST {
            return Err(format!("an expression nests at most {DEEPEST} levels deep"));
        }
        Ok(program)
    };
    // No more levels than what may open one; those that stand side by side or in quotes are not worth telling apart.
    let levels = source.matches(['(', '[', '{', '?']).count();
    if levels <= SHALLOW {
        return compile();
    }
    std::thread::scope(|scope| {
        let reader = std::thread::Builder::new().stack_size(STACK).spawn_scoped(scope, compile);
        let reader = reader.map_err(|error| format!("the expression cannot be read: {error}"))?;
        reader.join().unwrap_or_else(|_| Err("the expression cannot be read".to_owned()))
    })
}

fn is_identifier(text: &str) -> bool {
    text.chars()
        .enumerate()
        .all(|(at, c)| c == '_' || c.is_ascii_alphabetic() || (at > 0 && c.is_ascii_digit()))
        && !text.is_empty()
}

fn is_literal(segments: &[String]) -> bool {
    matches!(segments, [word] if ["true", "false", "null"].contains(&word.as_str()))
}

fn to_cel(value: &Value) -> cel::Value {
    match value {
        Value::Null => cel::Value::Null,
        Value::Bool(value) => cel::Value::Bool(*value),
        Value::Number(number) => number
            .as_i64()
            .map_or_else(|| number.as_f64().map_or(cel::Value::Null, cel::Value::Float), cel::Value::Int),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => cel::Value::List(items.iter().map(to_cel).collect::<Vec<_>>().into()),
        Value::Object(fields) => {
            let fields = fields.iter().map(|(key, value)| (Key::String(key.clone().into()), to_cel(value)));
            cel::Value::Map(Map { map: fields.collect::<std::collections::HashMap<_, _>>().into() })
        }
    }
}

fn from_cel(value: &cel::Value) -> Option<Value> {
    Some(match value {
        cel::Value::Null => Value::Null,
        cel::Value::Bool(value) => Value::Bool(*value),
        cel::Value::Int(value) => Value::from(*value),
        cel::Value::UInt(value) => Value::from(*value),
        cel::Value::Float(value) => Value::Number(Number::from_f64(*value)?),
        cel::Value::String(text) => Value::String(text.to_string()),
        cel::Value::List(items) => Value::Array(items.iter().map(from_cel).collect::<Option<_>>()?),
        cel::Value::Map(map) => {
            let mut fields: Vec<(String, Value)> = Vec::with_capacity(map.map.len());
            for (key, value) in map.map.iter() {
                let Key::String(key) = key else { return None };
                fields.push((key.to_string(), from_cel(value)?));
            }
            // A hash map has no order; an answer must.
            fields.sort_by(|a, b| a.0.cmp(&b.0));
            Value::Object(Object::from_iter(fields))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn evaluate(source: &str) -> Result<Value, Fault> {
        let input: Value =
            serde_json::from_str(r#"{"amount": 0.1000000000000000055, "n": 3, "list": [1, 2]}"#).unwrap();
        let nodes = json!({"update": {"change": {"id": "x"}}});
        let scope = Scope { input: &input, nodes: &nodes, item: None };
        Expression::parse(source).unwrap().evaluate(scope).map(Cow::into_owned)
    }

    #[test]
    fn a_path_passes_its_value_on_untouched() {
        assert_eq!(evaluate("input.amount").unwrap().to_string(), "0.1000000000000000055");
        assert_eq!(evaluate("nodes.update.change").unwrap(), json!({"id": "x"}));
        assert_eq!(evaluate("nodes.update.nothing.more").unwrap(), Value::Null);
    }

    #[test]
    fn everything_else_is_cel() {
        assert_eq!(evaluate("input.n > 2 && input.list.size() == 2").unwrap(), json!(true));
        assert_eq!(evaluate("input.list.map(x, x * 2)").unwrap(), json!([2, 4]));
        assert_eq!(evaluate("true").unwrap(), json!(true));
        assert_eq!(evaluate("input.nothing > 2").unwrap_err().reason(), "EXPRESSION_FAILED");
    }

    #[test]
    fn a_failure_repeats_no_value() {
        let input =
            json!({"secret": "Asha-4711", "n": 4711, "list": ["Asha-4711"], "more": {"Asha-4711": 4711}});
        let scope = Scope { input: &input, nodes: &Value::Null, item: None };
        for source in [
            "input % -1",
            "input.secret / 2",
            "input.secret > 1",
            "input.secret - input.n",
            "-input.secret",
            "input.n / 0",
            "input.n % 0",
            "input.n + 9223372036854775807",
            "input[input.secret]",
            "input.more[input.n]",
            "input.list[input.n]",
            "input.list['a']",
            "input.nothing.x > 1",
            "int(input.secret)",
            "timestamp(input.secret)",
            "duration(input.secret)",
            "input.secret.matches('(')",
            "input.secret.startsWith(input.n)",
            "{input.n: 1, input.n: 2}",
            "{input.list: 1}",
            "input.more.map(k, k + 1)",
            "input.n()",
            "input.secret.size(1, 2)",
            "size(input.n)",
            "uint(-input.n)",
            "bytes(input.secret)",
            "timestamp('2026-11-24T00:00:00Z')",
            "!input.secret",
            "input.secret && true",
            "input.secret ? 1 : 2",
            "input.n in input.n",
            "input.n.all(x, x > 1)",
        ] {
            let Ok(expression) = Expression::parse(source) else { continue };
            let Err(fault) = expression.evaluate(scope) else { continue };
            let message = fault.message().to_owned();
            assert!(!message.contains("4711"), "{message}");
            assert!(!message.contains("these values"), "`{source}` deserves a reason");
        }
        let why = |source: &str| {
            Expression::parse(source).unwrap().evaluate(scope).unwrap_err().message().to_owned()
        };
        assert_eq!(
            why("input.more.x > 1"),
            "the expression `input.more.x > 1` cannot be evaluated: there is no `x`"
        );
        assert!(why("input % -1").ends_with("there is no `rem` of map and int"));
    }

    #[test]
    fn a_literal_is_known_before_anything_runs() {
        let literal = |source: &str| Expression::parse(source).unwrap().literal();
        assert_eq!((literal("1 + 1"), literal("false")), (Some(json!(2)), Some(json!(false))));
        assert_eq!((literal("input.n"), literal("size('a')")), (None, None));
        assert!(Expression::parse("1 +").is_err());
        assert!(Expression::parse("").is_err());
    }

    #[test]
    fn an_expression_is_as_deep_as_the_stack_allows() {
        let chain = |terms: usize| Expression::parse(&vec!["1"; terms].join("+"));
        let brackets =
            |count: usize| Expression::parse(&format!("{}1{}", "[".repeat(count), "]".repeat(count)));
        assert_eq!(chain(DEEPEST).unwrap().literal(), Some(json!(DEEPEST)));
        assert!(brackets(DEEPEST - 1).unwrap().literal().is_some());
        for refused in [chain(DEEPEST + 1), chain(490), brackets(DEEPEST), brackets(90)] {
            assert_eq!(refused.unwrap_err(), "an expression nests at most 32 levels deep");
        }
        assert!(brackets(490).is_err());
    }
}
