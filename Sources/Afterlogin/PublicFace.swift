// All that a rule's author needs, by one import: what is public stands on lower floors, which are not meant to be imported.
// Aliases would not do: in a package with the feature MemberImportVisibility no member of the type behind an alias is found.
@_exported public import AfterloginHTTPMessages
@_exported public import AfterloginJSON
@_exported public import AfterloginRules
