//! The few calls into PHP's engine that ext-php-rs does not wrap. The only module with unsafe code.
#![expect(unsafe_code, reason = "the engine's C interface: each block says what makes it sound")]

use std::ffi::{CStr, c_char, c_int};
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};

use ext_php_rs::args::ArgInfoTables;
use ext_php_rs::ffi::{ext_php_rs_compiler_globals, zend_hash_str_find_ptr_lc};
use ext_php_rs::types::{ZendObject, Zval};
use ext_php_rs::zend::{ClassEntry, Function, ModuleEntry};

unsafe extern "C" {
    fn zend_ini_long(name: *const c_char, length: usize, original: c_int) -> i64;
    fn zend_ini_string(name: *const c_char, length: usize, original: c_int) -> *const c_char;
    fn zend_update_property(
        scope: *mut ClassEntry,
        object: *mut ZendObject,
        name: *const c_char,
        length: usize,
        value: *mut Zval,
    );
    fn display_ini_entries(module: *mut ModuleEntry);
    static spl_ce_RuntimeException: *mut ClassEntry;
}

/// A directive as a number; 0 when it is not one.
pub(crate) fn ini_long(name: &CStr) -> i64 {
    // SAFETY: the engine only reads the name, for the length given.
    unsafe { zend_ini_long(name.as_ptr(), name.count_bytes(), 0) }
}

/// A directive as text; empty when it is not set.
pub(crate) fn ini_string(name: &CStr) -> String {
    // SAFETY: as above. The engine answers null or a C string that lives until the directive changes,
    // and it is copied before PHP code can run.
    unsafe {
        let value = zend_ini_string(name.as_ptr(), name.count_bytes(), 0);
        if value.is_null() { String::new() } else { CStr::from_ptr(value).to_string_lossy().into_owned() }
    }
}

/// Sets a property of an object in the scope of its own class, so that protected ones can be set.
pub(crate) fn set_property(object: &mut ZendObject, name: &str, mut value: Zval) {
    // SAFETY: object and class are live; the engine takes its own reference to the value.
    unsafe { zend_update_property(object.ce, object, name.as_ptr().cast(), name.len(), &raw mut value) }
}

/// Prints the module's directives into `phpinfo()`.
pub(crate) extern "C" fn module_info(module: *mut ModuleEntry) {
    ext_php_rs::info_table_start!();
    ext_php_rs::info_table_row!("Trastienda", "enabled");
    ext_php_rs::info_table_row!("Version", env!("CARGO_PKG_VERSION"));
    ext_php_rs::info_table_end!();
    // SAFETY: PHP hands over its own entry of this module.
    unsafe { display_ini_entries(module) }
}

/// SPL's `RuntimeException`, the parent of ours.
pub(crate) fn runtime_exception() -> &'static ClassEntry {
    // SAFETY: SPL cannot be left out of PHP and starts before every loaded extension.
    unsafe { &*spl_ce_RuntimeException }
}

/// Keeps the entry of a class that this module registers.
#[derive(Debug)]
pub(crate) struct ClassSlot {
    class: AtomicPtr<ClassEntry>,
    arguments: AtomicPtr<ArgInfoTables>,
}

impl ClassSlot {
    /// A slot for a class that is not registered yet.
    pub(crate) const fn new() -> Self {
        Self { class: AtomicPtr::new(ptr::null_mut()), arguments: AtomicPtr::new(ptr::null_mut()) }
    }

    /// Keeps the entry, and the tables of its methods' arguments: the engine reads them for as long as
    /// the class lives, which is as long as the process does.
    pub(crate) fn keep(&self, class: &'static mut ClassEntry, arguments: ArgInfoTables) {
        self.class.store(class, Ordering::Release);
        self.arguments.store(Box::into_raw(Box::new(arguments)), Ordering::Release);
    }

    /// The entry; `RuntimeException` while the class is not registered, which only module startup sees.
    pub(crate) fn get(&self) -> &'static ClassEntry {
        // SAFETY: null, or the entry that the engine gave for the module's whole life.
        unsafe { self.class.load(Ordering::Acquire).as_ref() }.unwrap_or_else(runtime_exception)
    }
}

/// Declares a function's parameter as `string|array`, which ext-php-rs has no type for. To be called
/// while the module starts.
pub(crate) fn declare_string_or_array(function: &CStr, parameter: usize) {
    const MAY_BE_STRING: u32 = 1 << 6;
    const MAY_BE_ARRAY: u32 = 1 << 7;
    // SAFETY: while modules start, functions are only found in the compiler's table, where this one was
    // put just now with arguments that include the one named. Nobody else looks at them yet, and the
    // mask is plain data.
    unsafe {
        let table = (*ext_php_rs_compiler_globals()).function_table;
        let found = zend_hash_str_find_ptr_lc(table, function.as_ptr(), function.count_bytes());
        if let Some(found) = found.cast::<Function>().as_mut() {
            let argument = found.internal_function.arg_info.add(parameter);
            (*argument).type_.type_mask = MAY_BE_STRING | MAY_BE_ARRAY;
        }
    }
}
