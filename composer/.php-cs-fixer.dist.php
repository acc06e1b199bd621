<?php

declare(strict_types=1);

// The package's style, held by PHP CS Fixer: `scripts/php-style.sh` in the main repository.
return (new PhpCsFixer\Config())
    ->setRiskyAllowed(true)
    ->setUsingCache(false)
    ->setFinder((new PhpCsFixer\Finder())->in([__DIR__.'/src', __DIR__.'/exceptions', __DIR__.'/config', __DIR__.'/database', __DIR__.'/tests']))
    ->setRules([
        '@PSR12' => true,
        'array_syntax' => true,
        'blank_line_after_opening_tag' => true,
        'blank_line_before_statement' => ['statements' => ['return', 'throw', 'try', 'continue']],
        'braces_position' => ['allow_single_line_empty_anonymous_classes' => true, 'anonymous_classes_opening_brace' => 'next_line_unless_newline_at_signature_end'],
        'cast_spaces' => true,
        'class_attributes_separation' => ['elements' => ['method' => 'one', 'property' => 'one']],
        'concat_space' => ['spacing' => 'none'],
        'declare_strict_types' => true,
        'global_namespace_import' => false,
        'is_null' => true,
        'method_argument_space' => ['on_multiline' => 'ignore'],
        'new_with_parentheses' => ['anonymous_class' => false],
        'no_empty_phpdoc' => true,
        'no_extra_blank_lines' => ['tokens' => ['extra', 'use', 'throw', 'return']],
        'no_superfluous_phpdoc_tags' => ['allow_mixed' => true],
        'no_trailing_comma_in_singleline' => true,
        'no_unneeded_control_parentheses' => true,
        'no_unused_imports' => true,
        'no_useless_else' => true,
        'no_whitespace_before_comma_in_array' => true,
        'not_operator_with_successor_space' => true,
        'ordered_imports' => ['sort_algorithm' => 'alpha', 'imports_order' => ['class', 'function', 'const']],
        'phpdoc_align' => ['align' => 'left', 'spacing' => ['param' => 2]],
        'phpdoc_indent' => true,
        'phpdoc_no_useless_inheritdoc' => true,
        'phpdoc_trim' => true,
        'single_quote' => true,
        'space_after_semicolon' => true,
        'strict_comparison' => false,
        'ternary_to_null_coalescing' => true,
        'trailing_comma_in_multiline' => ['elements' => ['arrays', 'arguments', 'parameters', 'match']],
        'trim_array_spaces' => true,
        'unary_operator_spaces' => true,
        'void_return' => true,
        'whitespace_after_comma_in_array' => true,
    ]);
