// Filters by name, and what several of them share.
#pragma once
#include "jinja/builtins/registry.h"
#include "jinja/operation.h"

namespace pagoda::jinja {

const Registry<Filter>& filters();
// Parts of them, a file each: of text, of sequences, and those that answer with an iterator.
Registry<Filter>::Part text_filters();
Registry<Filter>::Part sequence_filters();
Registry<Filter>::Part lazy_filters();

// The value as a string, as soft_str of markupsafe: str(value), keeping `safe`.
PyValue soft_string(Interpreter& interpreter, const PyValue& value);
// item.attribute where attribute is dotted text or a number.
PyValue get_path(Interpreter& interpreter, const PyValue& item, const PyValue& attribute);
// Lower case if it is a string: the key of case-insensitive sorting.
PyValue fold_case(Budget* budget, const PyValue& value);

// json.dumps(value, ensure_ascii=False by default, indent, separators, sort_keys). Fault TypeError for what
// is not serializable: undefined, generators, ranges, views.
PyValue filter_tojson(Interpreter& interpreter, const PyValue& value, Arguments& arguments);

}  // namespace pagoda::jinja
