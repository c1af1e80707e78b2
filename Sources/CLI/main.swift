import AfterloginCommands

await AfterloginCommand.main()
