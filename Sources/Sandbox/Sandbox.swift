import Afterlogin
