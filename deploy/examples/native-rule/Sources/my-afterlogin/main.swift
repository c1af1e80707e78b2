import Afterlogin
import AfterloginCommands

// Every command of `afterlogin`, with this rule in the chain beside the JavaScript ones.
await AfterloginCommand.main(rules: [CustomerNumberRule()])
