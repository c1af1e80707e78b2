import Afterlogin
import AfterloginCommands
import CustomerRules

// Every command of `afterlogin`, with this rule in the chain beside the JavaScript ones.
await AfterloginCommand.main(rules: [CustomerNumberRule()])
