import Commands

await AfterloginCommand.main()
