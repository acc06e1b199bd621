//! The exceptions under `Trastienda\Exception`.
//!
//! They are registered without an object override, so file, line and trace are what PHP gives every
//! exception. What they carry beyond a message and a code lies in protected properties, which their
//! methods read.

use ext_php_rs::builders::{ClassBuilder, ClassProperty, FunctionBuilder};
use ext_php_rs::convert::IntoZval;
use ext_php_rs::exception::PhpException;
use ext_php_rs::flags::{DataType, MethodFlags, PropertyFlags};
use ext_php_rs::types::{ZendHashTable, ZendObject, Zval};
use ext_php_rs::zend::{ExecuteData, run_handler};
use ext_php_rs::zend_fastcall;
use trastienda_protocol::problem::{FieldError, Problem};

use crate::engine::{self, ClassSlot};
use crate::error::Error;

/// The classes, the base first: a parent is registered before its children.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Trastienda,
    AgentUnavailable,
    HubUnavailable,
    InvalidRequest,
    Unauthorized,
    RateLimited,
    BufferFull,
    InvalidSignature,
    OutcomeUnknown,
}

static SLOTS: [ClassSlot; 9] = [const { ClassSlot::new() }; 9];

impl Class {
    fn slot(self) -> &'static ClassSlot {
        &SLOTS[self as usize]
    }

    /// The class of an answered problem.
    fn of_problem(problem: &Problem) -> Self {
        match problem.status {
            401 | 403 => Self::Unauthorized,
            429 => Self::RateLimited,
            507 => Self::BufferFull,
            400..=499 => Self::InvalidRequest,
            500..=599 => Self::HubUnavailable,
            _ => Self::Trastienda,
        }
    }
}

/// Registers the classes; called once, while the module starts.
pub(crate) fn register() -> ext_php_rs::error::Result<()> {
    base("TrastiendaException")
        .extends((engine::runtime_exception, "\\RuntimeException"))
        .property(property("problemCode"))
        .property(property("requestId"))
        .method(getter("problemCode", problem_code, DataType::String, true), MethodFlags::Public)
        .method(getter("requestId", request_id, DataType::String, true), MethodFlags::Public)
        .registration(|class, arguments| Class::Trastienda.slot().keep(class, arguments))
        .register()?;
    child("AgentUnavailable")
        .registration(|class, arguments| Class::AgentUnavailable.slot().keep(class, arguments))
        .register()?;
    child("HubUnavailable")
        .registration(|class, arguments| Class::HubUnavailable.slot().keep(class, arguments))
        .register()?;
    child("InvalidRequest")
        .property(property("errors"))
        .method(getter("errors", errors, DataType::Array, false), MethodFlags::Public)
        .registration(|class, arguments| Class::InvalidRequest.slot().keep(class, arguments))
        .register()?;
    child("Unauthorized")
        .registration(|class, arguments| Class::Unauthorized.slot().keep(class, arguments))
        .register()?;
    child("RateLimited")
        .property(property("retryAfter"))
        .method(getter("retryAfter", retry_after, DataType::Long, true), MethodFlags::Public)
        .registration(|class, arguments| Class::RateLimited.slot().keep(class, arguments))
        .register()?;
    child("BufferFull")
        .registration(|class, arguments| Class::BufferFull.slot().keep(class, arguments))
        .register()?;
    child("InvalidSignature")
        .registration(|class, arguments| Class::InvalidSignature.slot().keep(class, arguments))
        .register()?;
    child("OutcomeUnknown")
        .property(property("id"))
        .method(getter("id", id, DataType::String, false), MethodFlags::Public)
        .registration(|class, arguments| Class::OutcomeUnknown.slot().keep(class, arguments))
        .register()
}

fn base(name: &str) -> ClassBuilder {
    ClassBuilder::new(format!("Trastienda\\Exception\\{name}"))
}

fn child(name: &str) -> ClassBuilder {
    base(name).extends((|| Class::Trastienda.slot().get(), "\\Trastienda\\Exception\\TrastiendaException"))
}

fn property(name: &str) -> ClassProperty {
    ClassProperty {
        name: name.to_owned(),
        flags: PropertyFlags::Protected,
        default: None,
        docs: &[],
        ty: None,
        nullable: true,
        readonly: false,
        default_stub: None,
    }
}

fn getter(
    name: &str,
    handler: extern "C" fn(&mut ExecuteData, &mut Zval),
    returns: DataType,
    nullable: bool,
) -> FunctionBuilder<'static> {
    FunctionBuilder::new(name, handler).returns(returns, false, nullable)
}

/// Reads a property of `$this`; null when a subclass of the shop's left it out.
fn read(data: &mut ExecuteData, name: &str) -> Zval {
    let (parser, this) = data.parser_object();
    if parser.parse().is_err() {
        return Zval::null();
    }
    let value = this.and_then(|this| this.get_property::<&Zval>(name).ok().map(Zval::shallow_clone));
    value.unwrap_or_else(Zval::null)
}

zend_fastcall! {
    extern fn problem_code(data: &mut ExecuteData, value: &mut Zval) {
        run_handler(std::panic::AssertUnwindSafe(|| *value = read(data, "problemCode")));
    }
}

zend_fastcall! {
    extern fn request_id(data: &mut ExecuteData, value: &mut Zval) {
        run_handler(std::panic::AssertUnwindSafe(|| *value = read(data, "requestId")));
    }
}

zend_fastcall! {
    extern fn retry_after(data: &mut ExecuteData, value: &mut Zval) {
        run_handler(std::panic::AssertUnwindSafe(|| *value = read(data, "retryAfter")));
    }
}

zend_fastcall! {
    extern fn errors(data: &mut ExecuteData, value: &mut Zval) {
        run_handler(std::panic::AssertUnwindSafe(|| {
            let errors = read(data, "errors");
            *value = if errors.is_array() { errors } else { Zval::new_array() };
        }));
    }
}

zend_fastcall! {
    extern fn id(data: &mut ExecuteData, value: &mut Zval) {
        run_handler(std::panic::AssertUnwindSafe(|| {
            let id = read(data, "id");
            *value = if id.is_string() { id } else { zval("") };
        }));
    }
}

impl From<Error> for PhpException {
    fn from(error: Error) -> Self {
        match error {
            Error::AgentUnavailable(message) => new(Class::AgentUnavailable, &message, 0, []),
            Error::OutcomeUnknown { id, message, problem } => {
                let code = problem.as_ref().map_or(0, |problem| i64::from(problem.status));
                let shared = problem.iter().flat_map(|problem| shared(problem));
                new(Class::OutcomeUnknown, &message, code, shared.chain([("id", zval(id))]))
            }
            Error::Invalid(field) => {
                let message = if field.pointer.is_empty() {
                    field.message.clone()
                } else {
                    format!("`{}` {}", field.pointer, field.message)
                };
                new(Class::InvalidRequest, &message, 0, [("errors", field_errors(&[field]))])
            }
            Error::Refused(refusal) => {
                let problem = &refusal.problem;
                let class = Class::of_problem(problem);
                let own = match class {
                    Class::InvalidRequest => Some(("errors", field_errors(&problem.errors))),
                    Class::RateLimited => Some(("retryAfter", zval(refusal.retry_after.map(i64::from)))),
                    _ => None,
                };
                new(class, &problem.detail, i64::from(problem.status), shared(problem).into_iter().chain(own))
            }
            Error::Signature(message) => new(Class::InvalidSignature, &message, 0, []),
            Error::Internal(message) => new(Class::Trastienda, &message, 0, []),
            // Throwing does nothing while another exception is pending, and that one is the answer.
            Error::Pending => Self::new(String::new(), 0, Class::Trastienda.slot().get()),
        }
    }
}

/// Makes the exception: PHP fills in file, line and trace, we the rest.
fn new(
    class: Class,
    message: &str,
    code: i64,
    state: impl IntoIterator<Item = (&'static str, Zval)>,
) -> PhpException {
    let class = class.slot().get();
    let mut object = ZendObject::new(class);
    engine::set_property(&mut object, "message", zval(message));
    engine::set_property(&mut object, "code", zval(code));
    for (name, value) in state {
        engine::set_property(&mut object, name, value);
    }
    let mut thrown = Zval::new();
    thrown.set_object(&mut object);
    PhpException::new(message.to_owned(), 0, class).with_object(thrown)
}

/// What every exception about a problem carries.
fn shared(problem: &Problem) -> [(&'static str, Zval); 2] {
    [("problemCode", zval(problem.code.as_str())), ("requestId", zval(problem.request_id.clone()))]
}

fn field_errors(errors: &[FieldError]) -> Zval {
    let mut list = ZendHashTable::new();
    for error in errors {
        let mut entry = ZendHashTable::new();
        // Inserting into a fresh table only fails for lack of memory, which ends the request anyway.
        let _ = entry.insert("pointer", error.pointer.as_str());
        let _ = entry.insert("message", error.message.as_str());
        let _ = list.push(entry);
    }
    zval(list)
}

fn zval(value: impl IntoZval) -> Zval {
    value.into_zval(false).unwrap_or_else(|_| Zval::null())
}
